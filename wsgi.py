"""What servers and workers load: `wsgi:app` and `wsgi:celery`."""

from campaign.app import create_app
from campaign.settings import from_environ
from campaign.web import logs

settings = from_environ()
logs.configure(settings.log_format)
app = create_app(settings)
celery = app.extensions["celery"]
