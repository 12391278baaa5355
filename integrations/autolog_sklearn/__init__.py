"""scikit-learn for autolog."""
