"""A session as profiles: what types it holds, their samples and the dictionary they share."""
