"""report, what only one method has. A method NAME may have a module NAME.py here (`rooms.rooms`), with any of

COLUMNS: names                              columns of data/outliers/VARIANT.parquet beside those that hold one value a row
far(candidates) -> list of str              how far each was led, in a few letters: what stands under it in the gallery
read(stage) -> anything                     further inputs; sections find it in `results.own[NAME]`
figures(stage, tables, plots, candidates)   -> `style.Drawn` by name; candidates: of its variants, by name
BLOCKS: section -> function(results)        blocks of a section of the page
"""
