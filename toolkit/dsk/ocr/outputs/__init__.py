"""Outputs of a document that is read: a registry of formats, and what they are made of."""
