"""A server of trained models: predictions over HTTP, live streams over WebSocket, and a page."""
