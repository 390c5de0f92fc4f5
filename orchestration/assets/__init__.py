"""Assets in flow order: raw, warehouse, scores, push. Thin; the work is done elsewhere."""
