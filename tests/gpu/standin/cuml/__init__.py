"""cuML without a device: scikit-learn behind the real classes' keywords and names, which a snapshot of the real package decides."""
