"""The user's data: a claim stays when the application is removed, unless the user asks for its removal too."""

from pathlib import Path

import yaml

from tests.support.driver import Tasks, docker
from tests.support.eventually import until

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": SPEC}
FOLDERS = "/var/local-path-provisioner"  # on a node, whether its image was pulled or built: one for each volume
WRITES = "open('/data/file', 'w').write('kept')"
READS = "print(open('/data/file').read())"


def add_claim(folder: Path) -> None:
    """Add a claim to the pods of a copy of the project."""
    (folder / "k8s" / "claim.yaml").write_text(yaml.safe_dump(CLAIM))
    file = folder / "k8s" / "deployment.yaml"
    deployment = yaml.safe_load(file.read_text())
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    file.write_text(yaml.safe_dump(deployment))


def test_a_file_on_a_claim_is_there_again_after_a_removal_and_goes_only_if_that_is_asked(app: Tasks, tmp_path: Path) -> None:
    tasks = app.renamed(tmp_path / "source")
    add_claim(tasks.folder)
    (node, *_) = app.nodes()

    def python(code: str) -> str:
        return app.kubectl("exec", f"deployment/{tasks.app}", "--", "python3", "-c", code)

    def left() -> list[str]:
        return [item["metadata"]["name"] for item in app.get("deployments,persistentvolumeclaims")["items"]]

    tasks("build", "deploy")
    python(WRITES)
    volume = app.get("persistentvolumeclaim", "data")["spec"]["volumeName"]
    assert volume in docker("exec", node, "ls", FOLDERS)
    dry = tasks("--dry", "undeploy")
    assert f"delete deployment/{tasks.app}" in dry.stdout
    assert "persistentvolumeclaim" not in dry.stdout
    for removed in (dry, tasks("clean"), tasks("undeploy")):
        assert "Kept with its data: persistentvolumeclaim/data. ./inv undeploy --volumes removes it." in removed.stderr
    assert left() == ["data"]
    tasks("build", "deploy")
    assert python(READS) == "kept\n"

    assert "persistentvolumeclaim/data" in tasks("--dry", "clean", "--volumes").stdout
    tasks("clean", "--volumes")
    assert left() == []
    until(lambda: volume not in docker("exec", node, "ls", FOLDERS))
    until(lambda: volume not in app.kubectl("get", "persistentvolumes"))
