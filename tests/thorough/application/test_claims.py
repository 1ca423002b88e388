"""The data of a person: a volume claim stays when the application goes, unless somebody asks for it to go too."""

from pathlib import Path

import yaml

from tests.support import source
from tests.support.driver import Ended, Tasks, docker

# no provisioner is asked for one: the test makes the volume
VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}}}
spec:
  capacity: {{storage: 1Mi}}
  accessModes: [ReadWriteOnce]
  claimRef: {{namespace: {namespace}, name: data}}
  hostPath: {{path: /var/claims/{namespace}}}
"""
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Mi"}}},
}
WRITES = "open('/data/file', 'w').write('kept')"
READS = "print(open('/data/file').read())"


def with_claim(folder: Path) -> Path:
    """A copy of the project whose pods have a volume claim."""
    made = source.changed(folder)
    (made / "k8s" / "claim.yaml").write_text(yaml.safe_dump(CLAIM))
    file = made / "k8s" / "deployment.yaml"
    deployment = yaml.safe_load(file.read_text())
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    file.write_text(yaml.safe_dump(deployment))
    return made


def test_a_file_on_a_claim_is_there_again_after_undeploy_and_goes_only_if_that_is_asked(app: Tasks, tmp_path: Path) -> None:
    folder = with_claim(tmp_path / "source")
    (node, *_) = app.nodes()
    docker("exec", node, "mkdir", "--parents", "--mode=777", f"/var/claims/{app.namespace}")
    app.kubectl("apply", "--filename=-", stdin=VOLUME.format(namespace=app.namespace))

    def typed(*words: str) -> Ended:
        return app.typed(*words, folder=folder)

    def python(code: str) -> str:
        return app.kubectl("exec", "deployment/simple-server", "--", "python3", "-c", code)

    try:
        typed("build", "deploy")
        python(WRITES)

        dry = typed("--dry", "undeploy")
        assert "delete deployment simple-server" in dry.stdout
        assert "persistentvolumeclaim" not in dry.stdout
        for undeployed in (dry, typed("undeploy")):
            kept = "Kept with its data: persistentvolumeclaim/data. ./inv undeploy --volumes removes it."
            assert kept in undeployed.stderr
        assert [item["metadata"]["name"] for item in app.get("deployments,persistentvolumeclaims")["items"]] == ["data"]
        typed("deploy")
        assert python(READS) == "kept\n"

        assert "delete persistentvolumeclaim data" in typed("--dry", "undeploy", "--volumes").stdout
        typed("undeploy", "--volumes")
        assert app.get("deployments,persistentvolumeclaims")["items"] == []
    finally:
        app.kubectl("delete", "persistentvolume", app.namespace)
        docker("exec", node, "rm", "--recursive", f"/var/claims/{app.namespace}")
