"""A certificate authority for the length of the tests, and good and bad certificates of it."""
import os
import ssl
import subprocess

from . import system

NAMES = "DNS:localhost,IP:127.0.0.1"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*argv):
    subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True)


class Certificates:
    """Files of PEM: ca, and for each of good, expired, wrongname, selfsigned, stranger NAME.pem
    with NAME.key.  stranger is signed by an authority that nobody trusts; client is for a user."""

    def __init__(self, folder):
        self.folder = system.make_folder(folder)
        self.ca = os.path.join(folder, "ca.pem")
        self._authority("ca")
        self._authority("other-ca")
        self._sign("good", "ca", NAMES)
        self._sign("expired", "ca", NAMES, expired=True)
        self._sign("wrongname", "ca", "DNS:mail.example.org")
        self._sign("stranger", "other-ca", NAMES)
        self._sign("client", "ca", "email:ali@example.org", usage="clientAuth")
        openssl("req", "-x509", *NEW_KEY, "-days", 30, "-subj", "/CN=localhost",
                "-addext", "subjectAltName=" + NAMES,
                "-keyout", self.key("selfsigned"), "-out", self.pem("selfsigned"))
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o644)  # they are worth nothing

    def pem(self, name):
        return os.path.join(self.folder, name + ".pem")

    def key(self, name):
        return os.path.join(self.folder, name + ".key")

    def server_context(self, name="good"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem(name), self.key(name))
        return context

    def mutual_context(self):
        """A server's, which wants to see a certificate of ours."""
        context = self.server_context()
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=self.ca)

    def _authority(self, name):
        openssl("req", "-x509", *NEW_KEY, "-days", 30, "-subj", "/CN=mailfs tests " + name,
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key(name), "-out", self.pem(name))

    def _sign(self, name, authority, names, expired=False, usage="serverAuth"):
        request = os.path.join(self.folder, name + ".req")
        extensions = os.path.join(self.folder, name + ".ext")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("subjectAltName=%s\nextendedKeyUsage=%s\n"
                    "basicConstraints=CA:FALSE\n" % (names, usage))
        openssl("req", *NEW_KEY, "-subj", "/CN=localhost", "-keyout", self.key(name),
                "-out", request)
        # "openssl x509" takes no dates in version 3.0; a day count below 0 is in the past.
        openssl("x509", "-req", "-in", request, "-CA", self.pem(authority),
                "-CAkey", self.key(authority), "-CAcreateserial",
                "-days", -1 if expired else 30, "-extfile", extensions, "-out", self.pem(name))
