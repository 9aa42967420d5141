#!/usr/bin/env python3
"""What pandas and polars take for the same work, in seconds:

    dataframes.py pandas|polars read FILE       read a sheet
    dataframes.py pandas|polars change FILE     read it, change one cell, write it anew, synced and renamed
    dataframes.py pandas|polars results FILE N  N results, each written by rewriting the sheet in place,
                                                without a sync, as the handler did that tickoff replaced
"""

import os
import sys
import time

tool, work, path = sys.argv[1:4]

if tool == "pandas":
    import pandas

    def read():
        return pandas.read_csv(path, sep=";", dtype=str, keep_default_na=False)

    def change(frame, row):
        frame.at[row, "STATUS"] = "COMPLETED"
        return frame

    def write(frame, to):
        frame.to_csv(to, sep=";", index=False)

else:
    import polars

    def read():
        return polars.read_csv(path, separator=";", infer_schema=False)

    def change(frame, row):
        frame[row, "STATUS"] = "COMPLETED"
        return frame

    def write(frame, to):
        frame.write_csv(to, separator=";")


frame = None if work == "read" or work == "change" else read()
begun = time.perf_counter()
if work == "read":
    read()
elif work == "change":
    write(change(read(), 1), path + ".new")
    with open(path + ".new") as file:
        os.fsync(file.fileno())
    os.rename(path + ".new", path + ".changed")
else:
    for row in range(int(sys.argv[4])):
        write(change(frame, row), path + ".results")
print(time.perf_counter() - begun)
