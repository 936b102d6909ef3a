"""What is asked, how it is found, and what is answered."""
