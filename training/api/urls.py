"""The API of the training half."""

app_name = "training_api"

urlpatterns: list = []
