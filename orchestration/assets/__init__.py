"""Assets in flow order: raw, warehouse (staging and unified), scores, push. Thin; the work is done elsewhere."""
