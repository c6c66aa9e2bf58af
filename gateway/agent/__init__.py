"""The other process: it runs models and tools, so that the gateway stays small and can be replaced at any moment.

It shares nothing with the gateway but layer 0, `link/messages` and `link/spec`, and nothing else imports it. Models'
libraries are imported by the first run that asks a real model.
"""
