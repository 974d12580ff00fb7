/// Bounds-checked reading and writing of binary formats.
