"""What servers and workers load: `wsgi:app` and `wsgi:celery`."""

import gc

from campaign.app import create_app
from campaign.settings import from_environ
from campaign.web import logs

settings = from_environ()
logs.configure(settings.log_format)
app = create_app(settings)
celery = app.extensions["celery"]
gc.freeze()  # what is loaded now stays: looking through all of it held requests up for 0.1 s
