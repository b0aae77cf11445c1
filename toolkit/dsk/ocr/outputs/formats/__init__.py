"""The output formats: one module each, with its ``FORMAT``; see `dsk.ocr.outputs.base`."""
