"""Size, requests and time to "ready" of the script for web pages, on the local stack: `make weigh-web`.

Beside it what npm has of two others: one is a loader of a script that is elsewhere, the other is without its
dependencies. Times are medians, from the click to what the page says, with nothing in the browser's cache and
with functions that are warm. Exit code 1: the script is larger than its bar.
"""

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error

from local.stack import Failure, Stack
from tests.e2e.api import Api, link
from tests.e2e.browser import DESKTOP, chromium
from tests.e2e.embedding import SCRIPT, Host, HostSite, serving

BAR = 4096  # bytes, gzipped


@dataclass(frozen=True)
class Peer:
    package: str
    file: str  # what a page loads of it


PEERS = (
    Peer("react-plaid-link@5.0.0", "dist/index.umd.min.js"),
    Peer("knotapi-js@1.1.1", "build/index.js"),
)


def packed(content: bytes) -> int:
    return len(gzip.compress(content, mtime=0))


def of_peer(peer: Peer) -> tuple[int, int]:
    """Bytes of its script, gzipped, and of how many packages it depends."""
    with TemporaryDirectory() as folder:
        npm = ["npm", "pack", "--silent", peer.package, "--pack-destination", folder]
        name = subprocess.run(npm, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
        with tarfile.open(f"{folder}/{name}") as archive:
            read = {
                member.name.partition("/")[2]: file.read()
                for member in archive
                if (file := archive.extractfile(member))
            }
    return packed(read[peer.file]), len(json.loads(read["package.json"]).get("dependencies", {}))


def opened(browser: Browser, service: Api, mode: str) -> tuple[float, Counter[str]]:
    """Milliseconds from the click to "ready", and the service's requests, with the one for the script."""
    asked: Counter[str] = Counter()
    site = HostSite(service.url)
    with browser.new_context(viewport=DESKTOP) as context, serving("localhost", site):
        created = service.create(link(embedOrigins=[site.url])).json
        context.on("request", lambda request: asked.update([f"{request.method} {request.url}"]))
        host = Host(context, site.url)
        host.page.evaluate("() => { options = { onReady() { window.ready = performance.now() } } }")
        given = {"url": created["appClipUrl"], "mode": mode}
        host.page.evaluate("given => Object.assign(options, given)", given)
        took = host.page.evaluate("""async () => {
          const began = performance.now();
          document.getElementById("connect").click();
          while (!window.ready) await new Promise(requestAnimationFrame);
          return window.ready - began;
        }""")
    asked = Counter({place: count for place, count in asked.items() if service.url in place})
    shown = Counter[str]()
    for place, count in asked.items():
        method, url = place.split()
        path = urlsplit(url).path
        shown[f"{method} {'/{linkId}' if path.startswith('/link_') else path}"] += count
    return took, shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="web", description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=10)
    arguments = parser.parse_args()
    running = Stack().read()
    service = Api(running["apiUrl"], running["testApiKey"])

    own = packed(SCRIPT.read_bytes())
    print(f"{'':32}{'bytes, gzipped':>15}{'depends on':>12}")
    print(f"{'latchkey.js':32}{own:15,}{0:12}")
    for peer in PEERS if shutil.which("npm") else ():
        size, depends = of_peer(peer)
        print(f"{peer.package:32}{size:15,}{depends:12}")

    print(f"\n{'':32}{'ms to ready':>15}   requests")
    with chromium() as browser:
        for mode in ("dialog", "popup"):
            opened(browser, service, mode)  # which warms the functions
            seen = [opened(browser, service, mode) for _ in range(arguments.samples)]
            requests = ", ".join(f"{count} {place}" for place, count in seen[-1][1].items())
            print(f"{mode:32}{statistics.median(took for took, _ in seen):15.0f}   {requests}")
    print(f"\nThe script: {own:,} bytes (at most {BAR:,})")
    sys.exit(own > BAR)


if __name__ == "__main__":
    try:
        main()
    except (Failure, Error, subprocess.CalledProcessError) as failure:
        sys.exit(str(failure))
