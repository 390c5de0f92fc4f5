"""Assets, in flow order: raw, warehouse (staging and unified), scores, push. Thin: what they do is elsewhere."""
