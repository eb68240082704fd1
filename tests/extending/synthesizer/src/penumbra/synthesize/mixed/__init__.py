"""Mixed images: two ID images of different classes, one over the other."""
