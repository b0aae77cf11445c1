"""Unlimited-OCR: its profile."""
