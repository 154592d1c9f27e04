"""Pieces of HTML and pictures. They know plain values only, no object of ours."""
