"""HTTP routes of this app, one subject per module.

Endpoints are plain functions, so that they run in the thread pool and a prediction does not keep ``/info``
waiting.
"""
