"""Child process of `bench.run`: one handler, measured as Lambda would run it.

Usage: python -I subject.py WARM_UP REQUESTS SAMPLED PATH... < EVENT   (`app.py` lies on one of the paths)
Prints one JSON object. What the handler itself prints goes to /dev/null.
"""

# Lambda's runtime client has loaded the like of these before it imports a handler: no subject pays for them.
import json
import os
import sys
import time
import uuid


class Context:
    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    log_group_name = "/aws/lambda/bench"
    log_stream_name = "bench"

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


def invocation(text: str, sampled: str) -> tuple[dict[str, object], Context]:
    """What the runtime prepares for each request; the X-Ray SDK tells requests apart by the trace id."""
    trace = (
        f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()};Parent={os.urandom(8).hex()};Sampled={sampled}"
    )
    os.environ["_X_AMZN_TRACE_ID"] = trace
    return json.loads(text), Context()


def main() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warm_up, requests, sampled, *paths = sys.argv[1:]
    text = sys.stdin.read()
    sys.path[:0] = paths

    event, context = invocation(text, sampled)
    start = time.perf_counter()
    from app import lambda_handler  # type: ignore[import-not-found]  # which app.py, PATH says

    answer = lambda_handler(event, context)
    cold = time.perf_counter() - start

    statuses, warm = {answer["statusCode"]}, 0.0
    for number in range(int(warm_up) + int(requests)):
        event, context = invocation(text, sampled)
        start = time.process_time()
        answer = lambda_handler(event, context)
        if number >= int(warm_up):
            warm += time.process_time() - start
        statuses.add(answer["statusCode"])

    with open("/proc/self/status") as file:
        status = file.read()
    json.dump(
        {
            "statuses": sorted(statuses),
            "cold": cold * 1e3,  # ms
            "warm": warm / (int(requests) or 1) * 1e3,  # ms
            # Not ru_maxrss, which begins with the parent's.
            "memory": int(status.partition("VmHWM:")[2].split()[0]) / 1024,  # KiB to MiB
        },
        report,
    )


main()
