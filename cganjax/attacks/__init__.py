"""Decoys: attacks that make a classifier unsure of an image that a person still reads."""
