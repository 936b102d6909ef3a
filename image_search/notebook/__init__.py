"""What a notebook shows of a library, as short calls; installed by the extra `notebook`.

from image_search.notebook.library import open_library
from image_search.notebook.show import grid

library = open_library("http://127.0.0.1:5000")      # or a data folder, opened in this process
grid(library.random(12))
grid(library.by_words("boat at night", top_k=8))
"""
