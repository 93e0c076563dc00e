"""URLs of a Django site in several languages."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.urls import path
from django_site import episode

urlpatterns = i18n_patterns(path("episodes/<int:id>", episode))
