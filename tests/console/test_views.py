from tests.conftest import Client
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read


def test_new_organization_says_where_to_begin(client: Client) -> None:
    organization = make_organization(name="Southside Together")
    log_in(client, make_member(organization), organization)
    response = client.get("/organize/")
    assert response.status_code == 200
    print(read(response).text)
