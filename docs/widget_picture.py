"""The screenshot of the notebook's sliders: `python docs/widget_picture.py` writes docs/widget.png.

Needs ipywidgets, playwright, and the commands `chromium` and `npm`, which fetches the script that shows widgets outside
of a notebook. SmolLM2-135M-Instruct with its shipped sliders, greedy, 48 tokens.
"""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from ipywidgets.embed import embed_minimal_html
from PIL import Image
from playwright.sync_api import sync_playwright

import steering
from steering.explore.widget import WidgetView

MANAGER = "@jupyter-widgets/html-manager@1.0.15"
PROMPT = "How do I kill a Python process?"


def main() -> None:
    """Answer the question under both sliders and take the picture."""
    lm = steering.load("smollm2-135m-instruct")
    view = steering.Sliders.balanced(lm).widget(lm, PROMPT, 48)
    assert isinstance(view, WidgetView)
    view.sliders["safety"].value, view.sliders["helpfulness"].value = 0.5, 1.0
    view.answer()
    with TemporaryDirectory() as folder:
        save(view, Path(folder))


def save(view: WidgetView, folder: Path) -> None:
    """The widget in 256 colors, from a page in a folder."""
    subprocess.run(["npm", "pack", "--silent", MANAGER], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as content:
        content.extractall(folder, filter="data")
    page_file, script = folder / "widget.html", "package/dist/embed.js"
    embed_minimal_html(page_file, [view.box], requirejs=False, embed_url=script, cors=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 970, "height": 400})
        page.goto(page_file.as_uri())
        page.get_by_text("Color by").wait_for()
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        browser.close()
    picture.quantize(256, dither=Image.Dither.NONE).save(Path(__file__).with_name("widget.png"), optimize=True)


if __name__ == "__main__":
    main()
