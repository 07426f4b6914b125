"""Files that lie far away: in S3, Google Cloud Storage, the Hub, or behind a web server."""
