"""Coverage-guided fuzzing of the decoders: ``make fuzz FORMAT=nem12``; a short run is part of ``make test``."""
