"""Networks whose edges are tables: how they are trained, what they cost, and the integers they end in."""
