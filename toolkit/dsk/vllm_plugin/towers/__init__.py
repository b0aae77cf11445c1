"""Vision towers, SAM and CLIP, in plain torch for every vLLM release."""
