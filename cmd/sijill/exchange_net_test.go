package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sijill/internal/resolve/resolvetest"
)

// Addresses in the network of the exchange (RFC 5737). Whoever dials from here
// is at the first; the stranger is at an address that nobody's SPF names.
const (
	nameserver = "192.0.2.53"
	stranger   = "192.0.2.66"
)

// world is a network of its own with a name server and a certificate authority.
type world struct {
	testing.TB
	dir   string // Others may read in it: Postfix has users of its own.
	names *resolvetest.Server

	authority    *x509.Certificate
	authorityKey *ecdsa.PrivateKey
	roots        *x509.CertPool
	rootsFile    string
}

// newWorld makes the network in the namespaces in which this process is alone.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir()}
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	system := filepath.Join(w.dir, "resolv.conf")
	w.write(system, "nameserver "+nameserver+"\noptions trust-ad\n")
	w.run("mount", "--bind", system, "/etc/resolv.conf")
	w.run("mkdir", "-p", "/run/netns")
	w.run("mount", "-t", "tmpfs", "none", "/run/netns")
	w.run("ip", "link", "set", "lo", "up")
	w.run("ip", "link", "add", "name", "switch0", "type", "bridge")
	w.run("ip", "addr", "add", nameserver+"/24", "dev", "switch0")
	w.run("ip", "addr", "add", stranger+"/24", "dev", "switch0")
	w.run("ip", "link", "set", "switch0", "up")
	w.serveNames()
	w.makeAuthority()
	return w
}

func (w *world) run(name string, args ...string) {
	w.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (w *world) write(path, text string) {
	w.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

// machine connects a machine of that name and address to the network. Its
// programs are started by "ip netns exec NAME".
func (w *world) machine(name, address string) {
	w.Helper()
	w.run("ip", "netns", "add", name)
	w.run("ip", "link", "add", "name", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", name)
	w.run("ip", "link", "set", "to-"+name, "master", "switch0", "up")
	w.run("ip", "-n", name, "link", "set", "lo", "up")
	w.run("ip", "-n", name, "addr", "add", address+"/24", "dev", "eth0")
	w.run("ip", "-n", name, "link", "set", "eth0", "up")
}

// on makes of a command one that runs on a machine.
func (w *world) on(name string, c *exec.Cmd) *exec.Cmd {
	w.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		w.Fatal(err)
	}
	c.Args = append([]string{ip, "netns", "exec", name, c.Path}, c.Args[1:]...)
	c.Path = ip
	return c
}

// serveNames answers as a validating resolver where everybody looks.
func (w *world) serveNames() {
	w.Helper()
	w.names = resolvetest.New(w, "")
	w.names.Authentic(true)
	address := net.JoinHostPort(nameserver, "53")
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		w.Fatal(err)
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		w.Fatal(err)
	}
	for _, d := range []*dns.Server{{PacketConn: udp, Handler: w.names}, {Listener: tcp, Handler: w.names}} {
		up := make(chan struct{})
		d.NotifyStartedFunc = func() { close(up) }
		go d.ActivateAndServe()
		<-up
		w.Cleanup(func() { d.Shutdown() })
	}
}

func (w *world) makeAuthority() {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	w.authorityKey = key
	w.authority = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of the exchange"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, w.authority, w.authority, &key.PublicKey, key)
	if err != nil {
		w.Fatal(err)
	}
	if w.authority, err = x509.ParseCertificate(der); err != nil {
		w.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(w.authority)
	w.rootsFile = filepath.Join(w.dir, "roots.pem")
	w.write(w.rootsFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// certify gives a certificate for names, as files, and its TLSA data: the key
// itself (RFC 6698, 3 1 1).
func (w *world) certify(names ...string) (certFile, keyFile, tlsa string) {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, w.authority, &key.PublicKey, w.authorityKey)
	if err != nil {
		w.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		w.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.Fatal(err)
	}
	certFile, keyFile = filepath.Join(w.dir, names[0]+".crt"), filepath.Join(w.dir, names[0]+".key")
	w.write(certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.write(keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile, fmt.Sprintf("3 1 1 %x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
}

// trust is what a client of a host needs.
func (w *world) trust(host string) *tls.Config {
	return &tls.Config{RootCAs: w.roots, ServerName: host}
}
