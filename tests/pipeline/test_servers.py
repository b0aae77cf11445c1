"""`dsk run pdf --server`: the runner's whole way through servers, with no engine and no stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pymupdf
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fake_server import Fake

    Fakes = Callable[..., Fake]

PAGES = 5


@pytest.fixture
def document(tmp_path: Path) -> Path:
    drawn = pymupdf.open()
    for page in range(PAGES):
        drawn.new_page(width=90, height=90).draw_rect(
            (0, 0, 90, 45), color=None, fill=(page / 255, 0, 0)
        )
    drawn.save(tmp_path / "shades.pdf")
    return tmp_path / "shades.pdf"


def run(*arguments: object, key: str = "", kind: str = "pdf") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsk", "run", kind, *map(str, arguments)],
        env=os.environ | {"DSK_API_KEY": key},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_outputs_are_those_of_any_engine(fake: Fakes, document: Path, tmp_path: Path) -> None:
    one, two = fake(key="s3cret"), fake(key="s3cret")
    servers = ["--server", f"{one.url},{two.url}", "--api-key", "s3cret"]
    done = run(document, "-o", tmp_path / "out", *servers, "--prompt", "free")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "shades"
    text = (folder / "shades.md").read_text()
    assert all(f"({page}, 0, 0)" in text for page in range(PAGES))
    records = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    assert {
        (record["status"], record["tokens"], record["sheet"]["width"]) for record in records
    } == {("ok", 5, 180)}
    made = json.loads((folder / "manifest.json").read_text())
    named = {"id": "deepseek-ocr", "name": "DeepSeek-OCR", "server_model": "deepseek-ocr"}
    assert made["model"] == named
    assert json.loads((tmp_path / "out" / "run.json").read_text())["model"] == named
    assert [server["url"] for server in made["engine"]["settings"]["servers"]] == [one.url, two.url]
    assert "s3cret" not in (folder / "manifest.json").read_text()
    asked = one.asked + two.asked
    assert {question["messages"][0]["content"][1]["text"] for question in asked} == {
        "<image>\nFree OCR."
    }
    # What the server's context of 4096 leaves beside the largest page and the prompt.
    assert {question["max_tokens"] for question in asked} == {4096 - 933 - 64}


def test_the_key_may_come_from_the_environment(fake: Fakes, document: Path, tmp_path: Path) -> None:
    wished = ["-o", tmp_path / "out", "--server", fake(key="s3cret").url]
    assert run(document, *wished, key="s3cret").returncode == 0
    refused = run(document, *wished)
    assert refused.returncode == 2
    assert "refuses the API key, or wants one" in refused.stderr


def test_pages_that_no_server_reads_end_with_the_reason(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake(script=["die"], then="drop")
    done = run(document, "-o", tmp_path / "out", "--server", server.url, "--wait-seconds", 2)
    assert done.returncode == 11, done.stderr
    lines = (tmp_path / "out" / "shades" / "pages.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["page"] for record in sorted(records, key=lambda r: r["page"])] == [
        1,
        2,
        3,
        4,
        5,
    ]
    failed = [record for record in records if record["status"] != "ok"]
    assert failed
    assert all(record["status"] == "engine-failed" for record in failed)
    assert all(f"{server.url} did not answer" in record["reason"] for record in failed)
    assert "--retry-failed reads them all again" in " ".join(done.stderr.split())


def test_the_same_command_reads_the_pages_that_a_lost_server_left(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake(script=["", "", "die"], then="drop")
    wished = [document, "-o", tmp_path / "out", "--server", server.url, "--wait-seconds", 1]
    assert run(*wished).returncode == 11
    again = fake(port=server.web.server_port)
    done = run(*wished)
    assert done.returncode == 0, done.stderr
    assert 0 < len(again.asked) < PAGES
    text = (tmp_path / "out" / "shades" / "shades.md").read_text()
    assert all(f"({page}, 0, 0)" in text for page in range(PAGES))
    assert "missing" not in text
    # Now there is nothing left to read.
    assert run(*wished).returncode == 0
    assert len(again.asked) < PAGES


def test_a_page_that_the_server_refuses_is_not_asked_for_again(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake(script=["400"])
    wished = [document, "-o", tmp_path / "out", "--server", server.url]
    assert run(*wished).returncode == 11
    asked = len(server.asked)
    assert run(*wished).returncode == 11
    assert len(server.asked) == asked == PAGES - 1
    assert run(*wished, "--retry-failed").returncode == 0


def test_a_server_that_restarts_is_waited_for_and_nothing_is_lost(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake(script=["", "die"], then="drop")

    def restart() -> None:
        while server.script:
            time.sleep(0.05)
        time.sleep(5)
        fake(port=server.web.server_port)

    waiting = threading.Thread(target=restart)
    waiting.start()
    done = run(document, "-o", tmp_path / "out", "--server", server.url)
    waiting.join()
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"waiting up to 300 s for the server {server.url} (--wait-seconds)" in said
    assert f"the server {server.url} answers again after" in said


def test_a_dry_run_asks_the_server_and_reads_nothing(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake()
    done = run(document, "-o", tmp_path / "out", "--server", server.url, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"server  {server.url}, which serves deepseek-ocr" in done.stdout
    assert server.asked == []


def test_what_is_written_is_what_was_asked_for(fake: Fakes, document: Path, tmp_path: Path) -> None:
    wished = [document, "-o", tmp_path / "out", "--server", fake().url]
    assert run(*wished, "--to", "json").returncode == 0
    always = {"shades.md", "shades_det.mmd", "pages.jsonl", "manifest.json"}
    folder = tmp_path / "out" / "shades"
    assert {file.name for file in folder.iterdir()} == always | {"shades.json"}
    assert run(*wished).returncode == 0
    assert {"report.html", "shades_layouts.pdf"} < {file.name for file in folder.iterdir()}


def test_a_document_of_that_name_of_another_run_keeps_its_outputs(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    wished = ["-o", tmp_path / "out", "--server", fake().url, "--to", "md"]
    (tmp_path / "other").mkdir()
    with pymupdf.open() as other:
        other.new_page(width=90, height=90).draw_rect((0, 0, 90, 45), color=None, fill=(0, 1, 0))
        other.save(tmp_path / "other/shades.pdf")
    assert run(document, *wished).returncode == 0
    before = (tmp_path / "out/shades/shades.md").read_bytes()
    done = run(tmp_path / "other/shades.pdf", *wished)
    assert done.returncode == 0
    assert "shades-2.md" in "".join(done.stdout.split())
    assert (tmp_path / "out/shades/shades.md").read_bytes() == before
    assert "(0, 255, 0)" in (tmp_path / "out/shades-2/shades-2.md").read_text()


def test_a_document_called_manifest_has_its_json(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    file = document.rename(tmp_path / "manifest.pdf")
    wished = ["-o", tmp_path / "out", "--server", fake().url, "--to", "json"]
    assert run(file, *wished).returncode == 0
    folder = tmp_path / "out" / "manifest-2"
    assert len(json.loads((folder / "manifest-2.json").read_text())["pages"]) == PAGES
    assert "settings_sha256" in json.loads((folder / "manifest.json").read_text())


def test_the_official_scripts_files_are_written_in_place_of_ours(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server = fake()
    wished = ["-o", tmp_path / "out", "--server", server.url, "--compat", "official"]
    assert run(document, *wished).returncode == 0
    folder = tmp_path / "out" / "shades"
    assert {file.name for file in folder.iterdir()} == {
        *("shades.mmd", "shades_det.mmd", "shades_layouts.pdf", "pages.jsonl", "manifest.json")
    }
    assert (folder / "shades.mmd").read_text().count("\n\n<--- Page Split --->\n") == PAGES
    Image.effect_noise((40, 40), 50).save(tmp_path / "photo.png")
    assert run(tmp_path / "photo.png", *wished, kind="image").returncode == 0
    assert {file.name for file in (tmp_path / "out" / "photo").iterdir()} == {
        *("result.mmd", "result_ori.mmd", "result_with_boxes.jpg", "pages.jsonl", "manifest.json")
    }
    guards = [one["vllm_xargs"] for one in server.asked]
    assert {(guard["ngram_size"], guard["window_size"]) for guard in guards} == {(20, 50), (30, 90)}


def test_what_cannot_be_is_said_in_one_line(fake: Fakes, document: Path, tmp_path: Path) -> None:
    dead = fake()
    dead.die()
    for arguments, code, said in [
        (["--server", dead.url], 7, f"the server {dead.url} does not answer"),
        (["--server", dead.url, "--to", "md,nonsense"], 2, "there is no format 'nonsense'"),
        (["--server", dead.url, "--to", "md", "--compat", "official"], 2, "exclude each other"),
        (["--server", "x:1"], 2, "'x:1' is not the URL of a server"),
        (["--server", dead.url, "--stack", "cpu"], 2, "--server and --stack exclude each other"),
        (["--server", fake().url, "--model", "mine"], 2, "does not serve 'mine' but deepseek-ocr"),
        (["--server", fake().url, "--max-tokens", "4000"], 2, "of 4000 tokens does not fit"),
    ]:
        done = run(document, "-o", tmp_path / "out", *arguments)
        assert done.returncode == code, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert said in line


def test_images_are_read_the_same_way(fake: Fakes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pages = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (1, 2)]
    for page in pages:
        page.putpixel((39, 39), (255, 255, 255))  # a page of one colour is blank
    pages[0].save(tmp_path / "in/fax.tif", save_all=True, append_images=pages[1:])
    pages[1].save(tmp_path / "in/photo.png")
    server = fake()
    done = run(tmp_path / "in", "-o", tmp_path / "out", "--server", server.url, kind="image")
    assert done.returncode == 0, done.stderr
    fax = (tmp_path / "out/fax/fax.md").read_text()
    assert fax.index("(1, 0, 0)") < fax.index("page 2") < fax.index("(2, 0, 0)")
    assert "(2, 0, 0)" in (tmp_path / "out/photo/photo.md").read_text()
    assert sorted(image.size for image in server.images) == [(40, 40)] * 3


def test_what_cannot_be_read_is_said_and_the_rest_is_read(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "two\nlines.pdf"
    empty.write_bytes(b"")
    wished = [empty, document, "-o", tmp_path / "out", "--server", fake().url]
    done = run(*wished, "--dry-run")
    assert done.returncode == 11, done.stderr
    done = run(*wished)
    assert done.returncode == 11, done.stderr
    assert "two\\nlines.pdf is empty" in done.stderr
    assert (tmp_path / "out/shades/shades.md").exists()


def test_a_limit_is_raised_by_its_flag(fake: Fakes, document: Path, tmp_path: Path) -> None:
    wished = [document, "-o", tmp_path / "out", "--server", fake().url, "--dry-run"]
    refused = run(*wished, "--max-pages", PAGES - 1)
    assert refused.returncode == 12
    assert "5 pages, more than 4: --max-pages raises the limit" in refused.stderr
    assert run(*wished, "--max-pages", PAGES).returncode == 0


def test_a_folder_takes_the_pages_of_one_model(fake: Fakes, document: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(document, "-o", out, "--server", fake().url)
    assert first.returncode == 0, first.stderr
    other = fake(models=["deepseek-ocr-2"])
    for more in ([], ["--dry-run"], ["--retry-failed"]):
        refused = run(document, "-o", out, "--server", other.url, *more)
        assert refused.returncode == 2, refused.stderr
        (line,) = refused.stderr.strip().splitlines()
        assert "holds pages that DeepSeek-OCR (served as deepseek-ocr) has read" in line
        assert "would read with DeepSeek-OCR-2 (served as deepseek-ocr-2)" in line
    status = subprocess.run(
        [sys.executable, "-m", "dsk", "status", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert status.stdout.startswith("read with DeepSeek-OCR (served as deepseek-ocr)\n")
    again = run(document, "-o", out, "--server", other.url, "--overwrite")
    assert again.returncode == 0, again.stderr
    made = json.loads((out / "shades" / "manifest.json").read_text())
    assert (made["model"]["id"], made["mode"]) == ("deepseek-ocr-2", "gundam")


def test_servers_of_different_models_are_refused(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    one, two = fake(), fake(models=["deepseek-ocr"], roots={"deepseek-ocr": "baidu/Unlimited-OCR"})
    refused = run(document, "-o", tmp_path / "out", "--server", f"{one.url},{two.url}")
    assert refused.returncode == 2
    assert "the servers serve different models: DeepSeek-OCR, Unlimited-OCR" in refused.stderr
