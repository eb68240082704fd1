"""benchmark, what only one method has. A method NAME may have a module NAME.py here (`rooms.rooms`), with any of

COLUMNS: names                    columns of data/outliers/VARIANT.parquet that it needs beside those that all methods share
UNIFIED_CURVES = True             its detectors are scored by the unified score along k and a, and on each test set
tables(stage, found, tables)      -> (tables, plots): further ones by name, from the inputs and the tables made so far
COMPARISONS: measure -> function  claims of claims.csv that need more than the shared measures, as in `claims.COMPARISONS`
"""
