package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
)

// acmeTime bounds how long a server may be without its certificates.
const acmeTime = 30 * time.Second

// The names of the server, each with a certificate of its own.
var serverNames = []string{"mail.diwan.example", "mta-sts.diwan.example"}

// The server gets its certificates from Let's Encrypt's own test authority, by
// either challenge alone, and serves them at all doors.
func TestACME(t *testing.T) {
	dir := t.TempDir()
	sijill, pebble := filepath.Join(dir, "sijill"), filepath.Join(dir, "pebble")
	compile(t, filepath.Join("..", ".."), sijill, "./cmd/sijill")
	compile(t, ".", pebble, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	for _, c := range []struct{ challenge, plain, safe string }{
		{"http-01", "127.0.0.1", "127.0.0.1"}, {"tls-alpn-01", "127.0.0.1", "127.0.0.1"},
		{"http-01", "127.0.0.1", "127.0.0.2"}, {"tls-alpn-01", "127.0.0.2", "127.0.0.1"},
		{"http-01", "[::]", "127.0.0.2"}, {"tls-alpn-01", "[::]", "[::]"},
	} {
		t.Run(c.challenge+" at "+c.plain+" and "+c.safe, func(t *testing.T) {
			t.Parallel()
			at := freePorts(t, 9)
			web, secure, imaps, smtp := at[0], at[1], at[2], at[3]
			// The authority finds nobody where the other challenge is answered.
			a := newAuthority(t, pebble, at[4:])
			if c.challenge == "http-01" {
				a.start(web, at[8])
			} else {
				a.start(at[8], secure)
			}
			alive := serve(t, sijill, fmt.Sprintf(acmeSettings, a.address, a.certFile, c.plain, web, c.safe, secure, imaps, smtp))
			roots := a.roots()
			for _, name := range serverNames {
				trust := &tls.Config{RootCAs: roots, ServerName: name}
				eventually(t, alive, "https for "+name, func() error { return overHTTPS(trust, strings.Replace(c.safe, "[::]", "127.0.0.1", 1), secure) })
				eventually(t, alive, "imaps for "+name, func() error { return overIMAPS(trust, imaps) })
				eventually(t, alive, "smtp for "+name, func() error { return overSMTP(trust, smtp) })
			}
		})
	}
}

const acmeSettings = `office = "Diwan"
domain = "diwan.example"
origin = "diwan.example/register"
[tls]
  acme = true
  email = "postmaster@diwan.example"
  directory = "https://%s/dir"
  roots = %q
  names = ["mta-sts.diwan.example"]
[http]
  listen = "%s:%d"
  tls_listen = "%s:%d"
[imap]
  tls_listen = "127.0.0.1:%d"
[smtp]
  listen = "127.0.0.1:%d"
`

func compile(t *testing.T, dir, out, pkg string) {
	t.Helper()
	c := exec.Command("go", "build", "-o", out, pkg)
	c.Dir = dir
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, said)
	}
}

// freePorts finds ports on loopback where nobody listens.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		if _, taken := given.LoadOrStore(port, true); !taken {
			ports = append(ports, port)
		}
	}
	return ports
}

// given are the ports that tests have got: none gets another's.
var given sync.Map

// process starts a program that is killed when the test ends, and shows what it
// said when the test fails. The context ends with it.
func process(t *testing.T, c *exec.Cmd) (alive context.Context) {
	t.Helper()
	var mu sync.Mutex
	var said bytes.Buffer
	c.Stdout = writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(p)
	})
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	alive, end := context.WithCancel(context.Background())
	go func() {
		_ = c.Wait() // What it said is told below.
		end()
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill() // It may have ended.
		<-alive.Done()
		mu.Lock()
		defer mu.Unlock()
		// The library says so when it looks for the doors elsewhere.
		if strings.Contains(said.String(), "[WARNING]") {
			t.Errorf("%s complains", filepath.Base(c.Path))
		}
		if t.Failed() {
			t.Logf("%s said, at last:\n%s", filepath.Base(c.Path), said.Bytes()[max(0, said.Len()-4000):])
		}
	})
	return alive
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// authority is Pebble with a name server that says of every name that it is
// here.
type authority struct {
	t                            *testing.T
	program, dir                 string
	address, management, resolve string
	certFile, keyFile            string // Of its own server.
	alive                        context.Context
}

func newAuthority(t *testing.T, program string, ports []int) *authority {
	t.Helper()
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	a := &authority{t: t, program: program, dir: t.TempDir(), address: at(0), management: at(1), resolve: at(2)}
	a.certFile, a.keyFile = filepath.Join(a.dir, "cert.pem"), filepath.Join(a.dir, "key.pem")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(a.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	a.write(a.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return a
}

func (a *authority) write(path string, b []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// start starts it; challenges are answered at the two ports.
func (a *authority) start(httpPort, tlsPort int) {
	a.t.Helper()
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{a.resolve}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		a.t.Fatal(err)
	}
	names.SetDefaultDNSIPv6("")
	go names.Run()
	a.t.Cleanup(names.Shutdown)
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": a.address, "managementListenAddress": a.management, "certificate": a.certFile, "privateKey": a.keyFile,
		"httpPort": httpPort, "tlsPort": tlsPort, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "as usual", "validityPeriod": 7776000}},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	path := filepath.Join(a.dir, "pebble.json")
	a.write(path, settings)
	c := exec.Command(a.program, "-config", path, "-dnsserver", a.resolve)
	c.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1") // It still refuses one nonce in twenty, as it may.
	a.alive = process(a.t, c)
	a.roots() // It is there.
}

// roots are those that its certificates lead to.
func (a *authority) roots() *x509.CertPool {
	a.t.Helper()
	own, err := os.ReadFile(a.certFile)
	if err != nil {
		a.t.Fatal(err)
	}
	trust, roots := x509.NewCertPool(), x509.NewCertPool()
	trust.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}}
	eventually(a.t, a.alive, "the authority is there", func() error {
		r, err := client.Get("https://" + a.management + "/roots/0")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err == nil && !roots.AppendCertsFromPEM(b) {
			err = fmt.Errorf("no certificate in %q", b)
		}
		return err
	})
	return roots
}

// serve makes an office with the settings, and serves.
func serve(t *testing.T, sijill, settings string) (alive context.Context) {
	t.Helper()
	office := filepath.Join(t.TempDir(), "office")
	env := append(os.Environ(), "SIJILL_DIR="+office)
	c := exec.Command(sijill, "init", "--office", "Diwan", "--domain", "diwan.example", "--account", "laila@diwan.example")
	c.Env = env
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(office, "sijill.toml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c = exec.Command(sijill, "serve")
	c.Env = env
	return process(t, c)
}

// eventually tries until it succeeds, for acmeTime at most and while the program
// is alive.
func eventually(t *testing.T, alive context.Context, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(alive, acmeTime)
	defer cancel()
	began := time.Now()
	for {
		err := try()
		if err == nil {
			t.Logf("%s: after %v", what, time.Since(began).Round(10*time.Millisecond))
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func overHTTPS(trust *tls.Config, host string, port int) error {
	tr := &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	r, err := (&http.Client{Transport: tr, Timeout: acmeTime}).Get(fmt.Sprintf("https://%s:%d/", host, port))
	if err != nil {
		return err
	}
	if r.ProtoMajor != 2 {
		return fmt.Errorf("the web speaks %s", r.Proto)
	}
	return r.Body.Close()
}

// first reads the first line that a server says.
func first(conn net.Conn, want string) error {
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 512)
	n, err := conn.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), want) {
		err = fmt.Errorf("the server says %q", b[:n])
	}
	return err
}

func overIMAPS(trust *tls.Config, port int) error {
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), trust)
	if err != nil {
		return err
	}
	defer conn.Close()
	return first(conn, "* OK")
}

func overSMTP(trust *tls.Config, port int) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := first(conn, "220 "); err != nil {
		return err
	}
	for _, c := range []struct{ say, want string }{{"EHLO client.example\r\n", "250-"}, {"STARTTLS\r\n", "220 "}} {
		if _, err := io.WriteString(conn, c.say); err != nil {
			return err
		}
		if err := first(conn, c.want); err != nil {
			return err
		}
	}
	return tls.Client(conn, trust).Handshake()
}
