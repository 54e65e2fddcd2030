"""Pictures of the link's page in each state, by phone and desktop, light and dark: `make screenshots`.

In Spanish by phone, in the light; in a frame where it differs.
"""

from local.stack import stack_for_tests, step
from tests.e2e.browser import DESKTOP, FRAMED, PHONE, SCHEMES, STATES, Visit, chromium
from tests.e2e.deployed import Deployed
from tests.e2e.sites import a_site
from tests.template import ROOT

FOLDER = ROOT / ".local/screenshots"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with stack_for_tests() as stack, chromium() as browser, a_site() as port:
        deployed = Deployed(stack)
        for state, way in STATES.items():
            file = FOLDER / state
            with (
                step(f"Picturing {file.relative_to(ROOT)}"),
                browser.new_context(viewport=PHONE, reduced_motion="reduce", locale="es-MX") as spanish,
                browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context,
            ):
                visit = Visit(spanish, deployed, "es")
                way(visit)
                visit.page.screenshot(path=f"{file}-phone-spanish.png")
                visit = Visit(context, deployed)
                way(visit)
                for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
                    visit.page.set_viewport_size(viewport)
                    for scheme in SCHEMES:
                        visit.page.emulate_media(color_scheme=scheme)
                        visit.page.screenshot(path=f"{file}-{size}-{scheme}.png", full_page=True)
        for state in FRAMED:
            file = FOLDER / state
            with (
                step(f"Picturing {file.relative_to(ROOT)} in a frame"),
                browser.new_context(viewport=PHONE, reduced_motion="reduce") as context,
            ):
                visit = Visit(context, deployed, host=f"http://localhost:{port}")
                STATES[state](visit)
                for scheme in SCHEMES:
                    visit.page.emulate_media(color_scheme=scheme)
                    visit.page.screenshot(path=f"{file}-frame-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main()
