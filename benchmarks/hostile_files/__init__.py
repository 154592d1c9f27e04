"""Broken and hostile files for every reader: none may end in a traceback, hang, or take the memory.

`samples` makes a valid file of every format, `mutations` breaks it, `reading` reads it in a process of its own, and
`__main__` counts: `python -m benchmarks.hostile_files --count 10000 --seed 0`, from the repository's root.
"""
