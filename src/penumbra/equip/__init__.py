"""equip: a recipe with what it needs beside images and outliers."""
