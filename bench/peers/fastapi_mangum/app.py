"""Create link by FastAPI on Lambda through Mangum, logging JSON by the standard library."""

import json
import logging
import sys

import links
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from mangum import Mangum


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        return json.dumps(line | {"linkId": getattr(record, "link_id", None)})


logger = logging.getLogger("links")
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.handlers[0].setFormatter(JsonFormatter())

app = FastAPI()


# `async`, although boto3 blocks: a function serves one request at a time, and this spares each a thread.
@app.post(
    "/v1/links", status_code=201, response_model_exclude_none=True, dependencies=[Depends(HTTPBearer())]
)
async def create_link(request: links.CreateLink) -> links.CreatedLink:
    created = links.create(request)
    logger.info("link created", extra={"link_id": created.link_id})
    return created


lambda_handler = Mangum(app, lifespan="off")
