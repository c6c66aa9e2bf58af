"""The other process: it runs models and tools, so that the gateway stays small and can be replaced at any moment.

It shares only layer 0, `link/messages` and `link/spec` with the gateway, and no module of the gateway imports it. The
libraries of the providers are imported by the first run that asks a real model.
"""
