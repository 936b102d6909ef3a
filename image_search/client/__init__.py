"""A typed client of the service's HTTP interface, for scripts and notebooks.

from pathlib import Path
from image_search.client import Client, NotFound

with Client("http://127.0.0.1:5000", key=Path("admin.key").read_text()) as client:
    client.insert(Path("cat.jpg"), title="My cat", tags=["cat"])

    found = client.search(Path("photo.jpg"), text="cat", filter={"width": {"gte": 800}}, top_k=5)
    for hit in found.results:
        print(hit.rank, round(hit.score, 3), hit.match, hit.title, hit.url)

    again = client.search(query_id=found.query.id, text="cat")    # the same picture, not sent again
    for image in client.images(filter={"tags": {"any": ["cat"]}}):
        client.update(image.id, fields={"checked": True})

    job = client.wait_for_job(client.start_indexing().id, on_progress=lambda job: print(job.done, job.total))

    try:
        client.image("0" * 64)
    except NotFound as error:
        print(error.code, error.request_id)
"""

from image_search.client.answers import (
    BatchInserted,
    Checked,
    CollectionInfo,
    DeletedImage,
    Hit,
    ImageInfo,
    Inserted,
    Job,
    JobFailure,
    NearDuplicate,
    SearchResult,
    Status,
)
from image_search.client.asking import Changes, Crop, InsertOptions, NewImage, Search, SearchOptions, Weights
from image_search.client.client import Client
from image_search.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    FetchFailed,
    FieldError,
    InvalidKey,
    InvalidRequest,
    JobFailed,
    JobStillRunning,
    NotFound,
    Rejected,
    ServerError,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from image_search.client.pictures import Picture

__all__ = [
    "ApiError",
    "BatchInserted",
    "Changes",
    "Checked",
    "Client",
    "ClientError",
    "CollectionInfo",
    "Conflict",
    "Crop",
    "DeletedImage",
    "FetchFailed",
    "FieldError",
    "Hit",
    "ImageInfo",
    "InsertOptions",
    "Inserted",
    "InvalidKey",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "JobFailure",
    "JobStillRunning",
    "NearDuplicate",
    "NewImage",
    "NotFound",
    "Picture",
    "Rejected",
    "Search",
    "SearchOptions",
    "SearchResult",
    "ServerError",
    "Status",
    "TooManyRequests",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "Weights",
]
