"""Create link by Powertools as its documentation shows it: validating resolver, logger, tracer, metrics."""

from typing import Any

import links
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.exceptions import UnauthorizedError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

tracer = Tracer()
logger = Logger()
metrics = Metrics()
app = APIGatewayHttpResolver(enable_validation=True)


@app.post("/v1/links")
@tracer.capture_method
def create_link(request: links.CreateLink) -> tuple[links.CreatedLink, int]:
    if not app.current_event.headers.get("authorization", "").startswith("Bearer "):
        raise UnauthorizedError("Unauthorized")
    created = links.create(request)
    metrics.add_metric(name="LinksCreated", unit=MetricUnit.Count, value=1)
    logger.info("link created", link_id=created.link_id)
    return created, 201


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
