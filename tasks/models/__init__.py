"""Store a fitted model as bytes: skops, ONNX, its input schema, and the files that MLflow logged."""
