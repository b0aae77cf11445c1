"""The prompts the model was trained on, by name; any other text is a prompt of its own."""

from __future__ import annotations

from typing import Final

from dsk.errors import UsageProblem

IMAGE: Final = "<image>"
_GROUNDING: Final = "<|grounding|>"

KEPT_TOKENS: Final = ("<td>", "</td>")
"""Tokens that the n-gram guard lets repeat: tables are made of them."""

NAMED: Final = {
    "markdown": f"{IMAGE}\n<|grounding|>Convert the document to markdown.",
    "ocr": f"{IMAGE}\n<|grounding|>OCR this image.",
    "free": f"{IMAGE}\nFree OCR.",
    "figure": f"{IMAGE}\nParse the figure.",
    "describe": f"{IMAGE}\nDescribe this image in detail.",
}
"""Name -> prompt, as the model's makers publish them."""


def prompt_for(text: str) -> str:
    """The prompt of that name, or the text itself, with the image put first where it has none.

    Raises:
        UsageProblem: the text is empty, looks like a misspelt name, or shows two images.
    """
    if text in NAMED:
        return NAMED[text]
    if not text.strip() or text.isidentifier():
        what = f"there is no prompt '{text}'"
        raise UsageProblem(what, do=f"give one of {', '.join(NAMED)}, or a sentence")
    if text.count(IMAGE) > 1:
        what = f"the prompt has {text.count(IMAGE)} images, a page is one"
        raise UsageProblem(what, do=f"write {IMAGE} once, first")
    return text if IMAGE in text else f"{IMAGE}\n{text}"


def ungrounded(prompt: str) -> str:
    """What is asked in place of a prompt that wants places; a prompt that does not is the same."""
    return NAMED["free"] if _GROUNDING in prompt else prompt
