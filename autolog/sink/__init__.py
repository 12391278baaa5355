"""Ships journals to stores that are not files beside them."""
