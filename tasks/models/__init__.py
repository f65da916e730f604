"""A fitted model as bytes: skops, ONNX, its input schema, the files MLflow logged."""
