# Every recipe sets up what it needs; `just` alone lists them.
python := ".venv/bin/python"

[private]
default:
    @just --list

# make .venv with dsk and its development tools, each by its hash
setup:
    .ci/setup

# make the test model and a page, read it with the real engine, show both
demo: setup
    .venv/bin/dsk demo

# the tests that need no Docker and no download, in a few minutes
test *args: setup
    {{python}} -m pytest {{args}}

# every test that this machine can run, in about an hour, and a line for each that it cannot
test-all *args: setup
    {{python}} -m pytest tests {{args}}

# how fast dsk starts and explain reads; wants an idle machine
bench: setup
    {{python}} -m pytest tests/benchmarks/bench_*.py

# lint, types, layers, drift
check: setup docs
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/lint-imports
    .venv/bin/dsk render --all --check
    .venv/bin/zizmor --offline --no-progress --quiet .github

# build the documentation as a site, into build/site; needs no network once it is set up
docs: setup
    .venv/bin/mkdocs build --strict

# mend what the linters can mend
fix: setup
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .

# write the Dockerfiles and the documentation's tables from the matrix
render: setup
    .venv/bin/dsk render --all

# resolve the stacks' locks anew
lock *stacks: setup
    .venv/bin/dsk matrix lock {{stacks}}

# the known vulnerabilities of every lock; --refresh looks them up anew
audit *args: setup
    .venv/bin/dsk matrix audit {{args}}

# resolve requirements/dev.txt anew, what development and CI install; with --upgrade to newer releases
lock-dev *args: setup
    .ci/lock {{args}}

# the model's remote code on every transformers of the ladder: the numbers, as evidence and in the documentation
patch-matrix: setup
    {{python}} tests/integration/patch/matrix.py --folder .cache/patch-matrix --evidence compat/evidence/transformers-patch.json
    .venv/bin/dsk render --all

